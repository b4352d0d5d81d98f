import java.math.BigDecimal;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.UUID;
import tills.ApiClient;
import tills.ApiException;
import tills.api.CommandsApi;
import tills.model.*;

/** Writes every command by the client that openapi-generator makes of /openapi.json, the package `tills`. */
public final class Commands {
  private static final UUID ORDER = UUID.randomUUID();

  public static void main(String[] arguments) throws ApiException {
    ApiClient client = new ApiClient();
    client.updateBaseUri(System.getenv("TILLSTREAM_ADDRESS"));
    CommandsApi api = new CommandsApi(client);
    Command[] commands = {
      new Command(new CreateOrder().commandId(id()).orderId(ORDER).type(CreateOrder.TypeEnum.CREATE_ORDER)
          .data(new CreateOrderData().cashierId("anna").currency("EUR"))),
      new Command(new AddItem().commandId(id()).orderId(ORDER).type(AddItem.TypeEnum.ADD_ITEM).data(tea())),
      new Command(new AddItem().commandId(id()).orderId(ORDER).type(AddItem.TypeEnum.ADD_ITEM)
          .data(tea().lineId("milk"))),
      new Command(new ChangeItemQuantity().commandId(id()).orderId(ORDER)
          .type(ChangeItemQuantity.TypeEnum.CHANGE_ITEM_QUANTITY)
          .data(new ChangeItemQuantityData().lineId("1").quantity("3"))),
      new Command(new ApplyLineDiscount().commandId(id()).orderId(ORDER)
          .type(ApplyLineDiscount.TypeEnum.APPLY_LINE_DISCOUNT)
          .data(new ApplyLineDiscountData(
              new ApplyLineDiscountDataByPercent().lineId("1").percent("10").authorisedBy("mia")))),
      new Command(new ApplyLineDiscount().commandId(id()).orderId(ORDER)
          .type(ApplyLineDiscount.TypeEnum.APPLY_LINE_DISCOUNT)
          .data(new ApplyLineDiscountData(
              new ApplyLineDiscountDataByAmount().lineId("1").amount("0.50").authorisedBy("mia")))),
      new Command(new RemoveLineDiscount().commandId(id()).orderId(ORDER)
          .type(RemoveLineDiscount.TypeEnum.REMOVE_LINE_DISCOUNT)
          .data(new RemoveLineDiscountData().lineId("1"))),
      new Command(new ApplyDiscount().commandId(id()).orderId(ORDER).type(ApplyDiscount.TypeEnum.APPLY_DISCOUNT)
          .data(new ApplyDiscountData().percent("5").authorisedBy("mia").reason("staff"))),
      new Command(new RemoveDiscount().commandId(id()).orderId(ORDER)
          .type(RemoveDiscount.TypeEnum.REMOVE_DISCOUNT)),
      new Command(new RemoveItem().commandId(id()).orderId(ORDER).type(RemoveItem.TypeEnum.REMOVE_ITEM)
          .data(new RemoveItemData().lineId("milk"))),
      new Command(new UndoLastChange().commandId(id()).orderId(ORDER)
          .type(UndoLastChange.TypeEnum.UNDO_LAST_CHANGE).expectedVersion(10)),
      new Command(new RedoLastChange().commandId(id()).orderId(ORDER)
          .type(RedoLastChange.TypeEnum.REDO_LAST_CHANGE).expectedVersion(11)),
      new Command(new ConfirmOrder().commandId(id()).orderId(ORDER).type(ConfirmOrder.TypeEnum.CONFIRM_ORDER)
          .occurredAt(OffsetDateTime.now(ZoneOffset.UTC))),
      new Command(new VoidOrder().commandId(id()).orderId(ORDER).type(VoidOrder.TypeEnum.VOID_ORDER)
          .data(new VoidOrderData().reason("returned").authorisedBy("mia"))),
    };
    for (Command command : commands) {
      CommandOutcome outcome = api.sendCommand(command, BigDecimal.TEN);
      if (outcome.getStatus() != CommandOutcome.StatusEnum.ACCEPTED) {
        throw new IllegalStateException(outcome.toString());
      }
    }
    System.out.println(ORDER);
  }

  private static UUID id() {
    return UUID.randomUUID();
  }

  private static AddItemData tea() {
    return new AddItemData().productId("p-1").name("Tea").quantity("2").unitPrice("3.50");
  }
}
