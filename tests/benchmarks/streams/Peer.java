import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;

/**
 * A peer: Kafka Streams on the same work, record by record, exactly once, with its defaults.
 *
 * <p>BOOTSTRAP SOURCE OUT GRAPH earliest|latest COUNT: prints "ready", and records a second once COUNT were scored.
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
    builder
        .<byte[], byte[]>stream(arguments[1])
        .mapValues(value -> scored(environment, session, width, value, count))
        .to(arguments[2]);

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

  /** One payment: parsed, the lean contenders' features of its card, the graph, the score as JSON. */
  private static byte[] scored(
      OrtEnvironment environment, OrtSession session, int width, byte[] value, long count) {
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
