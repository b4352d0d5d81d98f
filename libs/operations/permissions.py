"""Giving Kafka's users the permissions that they lack."""

from collections.abc import Sequence

from aiokafka.errors import ClusterAuthorizationFailedError, SecurityDisabled

from messaging import Acl, AppliedAcls, KafkaConnection, apply_acls
from operations.errors import OperationRefused
from operations.reaching_kafka import reaching_kafka


async def give_permissions(kafka: KafkaConnection, wanted: Sequence[Acl]) -> AppliedAcls:
    """Make the permissions that are missing, as a super user of the cluster; take none away.

    Raises OperationRefused for another user, and where Kafka has no authorizer; Unreachable.
    """
    with reaching_kafka(kafka):
        try:
            return await apply_acls(kafka, wanted)
        except ClusterAuthorizationFailedError as error:
            raise OperationRefused(
                "may_not_change_permissions", f"The Kafka user {kafka.username} may not change permissions."
            ) from error
        except SecurityDisabled as error:
            raise OperationRefused(
                "no_authorizer", "Kafka has no authorizer, so it lets everybody do everything."
            ) from error
