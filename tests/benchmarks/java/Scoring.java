import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What the peers in Java do with a payment: parsed, the lean contenders' features of its card, the graph, the score as JSON. */
final class Scoring {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Map<String, double[]> CARDS = new ConcurrentHashMap<>();

  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;
  private final int width;

  Scoring(String graph) throws OrtException {
    OrtSession.SessionOptions options = new OrtSession.SessionOptions();
    options.setIntraOpNumThreads(1);
    options.setInterOpNumThreads(1);
    options.addConfigEntry("session.intra_op.allow_spinning", "0");
    session = environment.createSession(graph, options);
    TensorInfo entry = (TensorInfo) session.getInputInfo().get("features").getInfo();
    width = (int) entry.getShape()[1];
  }

  /** known: further features, behind those of the card. */
  byte[] scored(byte[] value, float... known) {
    try {
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
      System.arraycopy(known, 0, row, 3, known.length);
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
      return JSON.writeValueAsBytes(score);
    } catch (IOException | OrtException error) {
      throw new IllegalStateException(error);
    }
  }
}
