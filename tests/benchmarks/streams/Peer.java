import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * A peer: Kafka Streams on the same work, record by record, exactly once, with its defaults.
 *
 * <p>BOOTSTRAP SOURCE OUT GRAPH earliest|latest COUNT [ENTITY,...]: prints "ready", and records a second once COUNT were scored.
 *
 * <p>ENTITY: the fields that name it, joined by +. For each one the payments are repartitioned by it, its count and sum are kept in
 * a store with a changelog, and both go on in a header; behind the last one the payments are repartitioned by card and scored.
 */
public final class Peer {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Map<String, double[]> CARDS = new ConcurrentHashMap<>();
  private static final AtomicLong done = new AtomicLong();
  private static volatile long startedNs;

  public static void main(String[] arguments) throws Exception {
    OrtSession.SessionOptions options = new OrtSession.SessionOptions();
    options.setIntraOpNumThreads(1);
    options.setInterOpNumThreads(1);
    options.addConfigEntry("session.intra_op.allow_spinning", "0");
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    OrtSession session = environment.createSession(arguments[3], options);
    TensorInfo entry = (TensorInfo) session.getInputInfo().get("features").getInfo();
    int width = (int) entry.getShape()[1];
    long count = Long.parseLong(arguments[5]);

    StreamsBuilder builder = new StreamsBuilder();
    KStream<byte[], byte[]> payments = builder.stream(arguments[1]);
    if (arguments.length < 7) {
      payments
          .mapValues(value -> scored(environment, session, width, value, new RecordHeaders(), count))
          .to(arguments[2]);
    } else {
      chained(builder, payments, arguments[6].split(","))
          .<byte[], byte[]>process(() -> new Scoring(environment, session, width, count))
          .to(arguments[2]);
    }

    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "peer-" + UUID.randomUUID());
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Runtime.getRuntime().availableProcessors());
    settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
    settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("peer").toString());
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, arguments[4]);
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    streams.setStateListener(
        (now, before) -> {
          if (now == KafkaStreams.State.RUNNING) {
            System.out.println("ready");
          }
        });
    streams.start();
  }

  /** Over each entity's partitions, then back to the cards'. */
  private static KStream<byte[], byte[]> chained(
      StreamsBuilder builder, KStream<byte[], byte[]> payments, String[] entities) {
    KStream<byte[], byte[]> events =
        payments.<byte[], byte[]>process(() -> new Stage(null, entities[0]));
    for (int number = 0; number < entities.length; number++) {
      String store = "entity-" + number;
      String next = number + 1 < entities.length ? entities[number + 1] : "card_id";
      builder.addStateStore(
          Stores.keyValueStoreBuilder(
              Stores.inMemoryKeyValueStore(store), Serdes.ByteArray(), Serdes.ByteArray()));
      events =
          events
              .repartition(
                  Repartitioned.with(Serdes.ByteArray(), Serdes.ByteArray()).withName("by-" + number))
              .<byte[], byte[]>process(() -> new Stage(store, next), store);
    }
    return events.repartition(
        Repartitioned.with(Serdes.ByteArray(), Serdes.ByteArray()).withName("by-card"));
  }

  /** Count and sum of one entity, where it has a store; and the key of the next one. */
  private static final class Stage implements Processor<byte[], byte[], byte[], byte[]> {
    private final String store;
    private final String[] next;
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> known;

    Stage(String store, String next) {
      this.store = store;
      this.next = next.split("\\+");
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
      this.context = context;
      known = store == null ? null : context.getStateStore(store);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      try {
        JsonNode payment = JSON.readTree(record.value());
        if (known != null) {
          byte[] before = known.get(record.key());
          double count = before == null ? 1 : ByteBuffer.wrap(before).getDouble(0) + 1;
          double sum = payment.get("amount").doubleValue();
          sum += before == null ? 0 : ByteBuffer.wrap(before).getDouble(8);
          known.put(record.key(), ByteBuffer.allocate(16).putDouble(count).putDouble(sum).array());
          byte[] values = ByteBuffer.allocate(8).putFloat((float) count).putFloat((float) (sum / count)).array();
          record.headers().add("values", values);
        }
        StringBuilder key = new StringBuilder();
        for (String field : next) {
          key.append(payment.get(field).textValue()).append('\u001f');
        }
        context.forward(record.withKey(key.toString().getBytes(StandardCharsets.UTF_8)));
      } catch (java.io.IOException error) {
        throw new IllegalStateException(error);
      }
    }
  }

  /** The last step, behind the entities. */
  private static final class Scoring implements Processor<byte[], byte[], byte[], byte[]> {
    private final OrtEnvironment environment;
    private final OrtSession session;
    private final int width;
    private final long count;
    private ProcessorContext<byte[], byte[]> context;

    Scoring(OrtEnvironment environment, OrtSession session, int width, long count) {
      this.environment = environment;
      this.session = session;
      this.width = width;
      this.count = count;
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
      this.context = context;
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      byte[] score = scored(environment, session, width, record.value(), record.headers(), count);
      context.forward(record.withValue(score).withHeaders(new RecordHeaders()));
    }
  }

  /** One payment: parsed, the lean contenders' features of its card, the graph, the score as JSON. */
  private static byte[] scored(
      OrtEnvironment environment, OrtSession session, int width, byte[] value, Headers known, long count) {
    try {
      if (startedNs == 0) {
        startedNs = System.nanoTime();
      }
      JsonNode payment = JSON.readTree(value);
      double amount = payment.get("amount").doubleValue();
      String card = payment.get("card_id").textValue();
      double[] seen = CARDS.computeIfAbsent(card, key -> new double[2]);
      float[] row = new float[width];
      Arrays.fill(row, 0.5f);
      seen[0] += 1;
      seen[1] += amount;
      row[0] = (float) amount;
      row[1] = (float) seen[0];
      row[2] = (float) (seen[1] / seen[0]);
      int column = 3;
      for (Header header : known.headers("values")) {
        row[column++] = ByteBuffer.wrap(header.value()).getFloat(0);
        row[column++] = ByteBuffer.wrap(header.value()).getFloat(4);
      }
      ObjectNode score = JSON.createObjectNode();
      try (OnnxTensor features = OnnxTensor.createTensor(environment, new float[][] {row});
          OrtSession.Result result = session.run(Map.of("features", features))) {
        float probability = ((float[]) result.get("probability").orElseThrow().getValue())[0];
        float error = ((float[]) result.get("reconstruction_error").orElseThrow().getValue())[0];
        score.set("transaction_id", payment.get("transaction_id"));
        score.set("event_time_ms", payment.get("event_time_ms"));
        score.put("card_id", card);
        score.put("probability", probability);
        score.put("reconstruction_error", error);
        score.put("alert", probability > 0.5);
        score.put("model", "m1");
      }
      byte[] written = JSON.writeValueAsBytes(score);
      if (done.incrementAndGet() == count) {
        System.out.println(count / ((System.nanoTime() - startedNs) / 1e9));
        System.out.flush();
        Runtime.getRuntime().halt(0); // nothing of it is worth a clean end
      }
      return written;
    } catch (java.io.IOException | OrtException error) {
      throw new IllegalStateException(error);
    }
  }
}
