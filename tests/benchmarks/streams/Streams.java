import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Properties;
import java.util.UUID;
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
public final class Streams {
  private static final int ENTITIES_MAX = 8;
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final AtomicLong done = new AtomicLong();
  private static volatile long startedNs;

  public static void main(String[] arguments) throws Exception {
    Scoring scoring = new Scoring(arguments[3]);
    long count = Long.parseLong(arguments[5]);

    StreamsBuilder builder = new StreamsBuilder();
    KStream<byte[], byte[]> payments = builder.stream(arguments[1]);
    if (arguments.length < 7) {
      payments
          .mapValues(value -> scored(scoring, value, new RecordHeaders(), count))
          .to(arguments[2]);
    } else {
      chained(builder, payments, arguments[6].split(","))
          .<byte[], byte[]>process(() -> new Scored(scoring, count))
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
  private static final class Scored implements Processor<byte[], byte[], byte[], byte[]> {
    private final Scoring scoring;
    private final long count;
    private ProcessorContext<byte[], byte[]> context;

    Scored(Scoring scoring, long count) {
      this.scoring = scoring;
      this.count = count;
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
      this.context = context;
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      byte[] score = scored(scoring, record.value(), record.headers(), count);
      context.forward(record.withValue(score).withHeaders(new RecordHeaders()));
    }
  }

  /** One payment, with what the entities' headers say; the last one says how long all took. */
  private static byte[] scored(Scoring scoring, byte[] value, Headers known, long count) {
    if (startedNs == 0) {
      startedNs = System.nanoTime();
    }
    ByteBuffer values = ByteBuffer.allocate(8 * ENTITIES_MAX);
    for (Header header : known.headers("values")) {
      values.put(header.value());
    }
    float[] further = new float[values.flip().remaining() / Float.BYTES];
    values.asFloatBuffer().get(further);
    byte[] written = scoring.scored(value, further);
    if (done.incrementAndGet() == count) {
      System.out.println(count / ((System.nanoTime() - startedNs) / 1e9));
      System.out.flush();
      Runtime.getRuntime().halt(0); // nothing of it is worth a clean end
    }
    return written;
  }
}
