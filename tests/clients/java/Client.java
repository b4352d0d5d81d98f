import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.format.EventFormat;
import io.cloudevents.core.provider.EventFormatProvider;
import io.cloudevents.kafka.CloudEventDeserializer;
import io.cloudevents.kafka.KafkaMessageFactory;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Carries out a script of steps with Kafka's own client and the CloudEvents SDK for Java. The job comes from
 * standard input, and what was read goes to standard output: see ../python/client.py.
 */
public final class Client {
  private static final String STRUCTURED = "application/cloudevents+json";
  private static final EventFormat FORMAT = EventFormatProvider.getInstance().resolveFormat(STRUCTURED);
  private static final ObjectMapper JSON = new ObjectMapper();

  private final JsonNode job;
  private final String name;
  private final String prefix;

  private Client(JsonNode job) {
    this.job = job;
    this.name = job.get("name").asText();
    this.prefix = job.get("topic_prefix").asText();
  }

  public static void main(String[] arguments) throws Exception {
    Client client = new Client(JSON.readTree(System.in));
    client.send();
    System.out.println(
        JSON.createObjectNode()
            .<com.fasterxml.jackson.databind.node.ObjectNode>set("outcomes", client.read("orders.outcomes", "outcomes"))
            .set("events", client.read("orders.events", "events")));
  }

  /** Makes the record of a step: what the SDK makes of it, spoilt where the step says so. */
  private ProducerRecord<String, byte[]> recordOf(JsonNode step) throws IOException {
    CloudEvent event = FORMAT.deserialize(JSON.writeValueAsBytes(step.get("event")));
    String topic = prefix + "orders.commands";
    String key = (String) event.getExtension("partitionkey");
    String mode = step.get("mode").asText();
    var writer = KafkaMessageFactory.createWriter(topic, key);
    var record = mode.equals("binary") ? writer.writeBinary(event) : writer.writeStructured(event, STRUCTURED);
    if (mode.equals("envelope") || mode.equals("batch")) {
      String kind = mode.equals("batch") ? "application/cloudevents-batch+json" : "application/json";
      String envelope = new String(record.value(), StandardCharsets.UTF_8);
      String value = mode.equals("batch") ? "[" + envelope + "]" : envelope;
      record = new ProducerRecord<>(topic, key, value.getBytes(StandardCharsets.UTF_8));
      record.headers().add("content-type", kind.getBytes(StandardCharsets.UTF_8));
    }
    for (Map.Entry<String, JsonNode> spoilt : step.path("spoilt").properties()) {
      record.headers().remove(spoilt.getKey());
      for (JsonNode value : spoilt.getValue()) {
        record.headers().add(spoilt.getKey(), value.isNull() ? null : HexFormat.of().parseHex(value.asText()));
      }
    }
    return record;
  }

  private KafkaProducer<String, byte[]> producer(Map<String, Object> options) {
    Map<String, Object> all = new HashMap<>(options);
    all.put("bootstrap.servers", job.get("bootstrap").asText());
    return new KafkaProducer<>(all, new StringSerializer(), new ByteArraySerializer());
  }

  private void send() throws Exception {
    Map<String, KafkaProducer<String, byte[]>> producers = new HashMap<>();
    for (JsonNode step : job.get("steps")) {
      ProducerRecord<String, byte[]> record = recordOf(step);
      if (step.path("rolled_back").asBoolean()) {
        try (var transactional = producer(Map.of("transactional.id", prefix + name))) {
          transactional.initTransactions();
          transactional.beginTransaction();
          transactional.send(record).get();
          transactional.abortTransaction();
        }
      } else {
        String codec = step.path("compression").asText("none");
        producers.computeIfAbsent(codec, kind -> producer(Map.of("compression.type", kind))).send(record).get();
      }
    }
    producers.values().forEach(KafkaProducer::close);
  }

  /** Gives the first so many events of the topic that answer what this client sent. */
  private ArrayNode read(String topic, String counted) throws IOException {
    int count = job.get(counted).asInt();
    ArrayNode found = JSON.createArrayNode();
    Map<String, Object> options = Map.of(
        "bootstrap.servers", job.get("bootstrap").asText(),
        "group.id", prefix + name + "." + topic,
        "enable.auto.commit", false,
        "auto.offset.reset", "earliest");
    long end = System.nanoTime() + Duration.ofSeconds(30).toNanos();
    try (var consumer = new KafkaConsumer<>(options, new StringDeserializer(), new CloudEventDeserializer())) {
      consumer.subscribe(List.of(prefix + topic));
      while (found.size() < count) {
        if (System.nanoTime() > end) {
          throw new IllegalStateException(topic + ": " + found.size() + " of " + count);
        }
        for (var record : consumer.poll(Duration.ofMillis(200))) {
          CloudEvent event = record.value();
          if (name.equals(event.getExtension("correlationid")) && found.size() < count) {
            found.add(JSON.readTree(FORMAT.serialize(event)));
          }
        }
      }
    }
    return found;
  }
}
