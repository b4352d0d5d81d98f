// Carries out a script of steps with kafkajs and the CloudEvents SDK for JavaScript.
// The job comes from standard input, and what was read goes to standard output: see ../python/client.py.

import { text } from "node:stream/consumers";
import { CloudEvent, Kafka as Binding } from "cloudevents";
import kafkajs from "kafkajs";
import SnappyCodec from "kafkajs-snappy";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;
CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec;
const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy };

/** The kafkajs message of a step: what the SDK makes of it, spoilt where the step says so. */
function messageOf({ event, mode, spoilt = {} }) {
  const made = new CloudEvent(event);
  const { key, value, headers } = mode === "binary" ? Binding.binary(made) : Binding.structured(made);
  const message = { key, value: typeof value === "string" ? value : JSON.stringify(value) };
  // The SDK has a header for each attribute that an event could have; kafkajs sends texts alone.
  const present = Object.entries(headers).filter(([, value]) => value !== undefined);
  message.headers = Object.fromEntries(present.map(([name, value]) => [name, String(value)]));
  if (mode === "envelope") message.headers = { "content-type": "application/json" };
  if (mode === "batch") {
    message.headers = { "content-type": "application/cloudevents-batch+json" };
    message.value = `[${message.value}]`;
  }
  for (const [name, values] of Object.entries(spoilt)) {
    message.headers[name] = values.map((hex) => Buffer.from(hex, "hex"));
  }
  return message;
}

async function send(kafka, job) {
  const topic = `${job.topic_prefix}orders.commands`;
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  for (const step of job.steps) {
    const messages = [messageOf(step)];
    if (step.rolled_back) {
      const transactional = kafka.producer({
        transactionalId: `${job.topic_prefix}${job.name}`,
        idempotent: true,
        maxInFlightRequests: 1,
      });
      await transactional.connect();
      const transaction = await transactional.transaction();
      await transaction.send({ topic, messages });
      await transaction.abort();
      await transactional.disconnect();
    } else {
      await producer.send({ topic, messages, compression: CODECS[step.compression ?? "none"] });
    }
  }
  await producer.disconnect();
}

/** The first so many events of the topic that answer what this client sent. */
async function read(kafka, job, topic, count) {
  const consumer = kafka.consumer({ groupId: `${job.topic_prefix}${job.name}.${topic}` });
  await consumer.connect();
  await consumer.subscribe({ topic: `${job.topic_prefix}${topic}`, fromBeginning: true });
  const found = [];
  await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${topic}: ${found.length} of ${count}`)), 30_000);
    const eachMessage = async ({ message }) => {
      const headers = Object.fromEntries(
        Object.entries(message.headers).map(([name, value]) => [name, value.toString()]),
      );
      const event = Binding.toEvent({ key: message.key.toString(), value: message.value, headers });
      if (event.correlationid !== job.name || found.push(event) < count) return;
      clearTimeout(late);
      resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  return found.slice(0, count);
}

const job = JSON.parse(await text(process.stdin));
const kafka = new Kafka({ clientId: job.name, brokers: [job.bootstrap], logLevel: logLevel.ERROR });
await send(kafka, job);
const outcomes = await read(kafka, job, "orders.outcomes", job.outcomes);
const events = await read(kafka, job, "orders.events", job.events);
process.stdout.write(JSON.stringify({ outcomes, events }));
