import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * A peer: Flink on the same work, record by record, exactly once, in a cluster inside this process, a slot for each core.
 *
 * <p>BOOTSTRAP SOURCE OUT GRAPH COUNT PARTITIONS: scores COUNT payments, as many of each partition, and prints how many a second,
 * from the first to the last commit. A checkpoint, and with it a commit, every 100 ms, which is the default of Kafka Streams.
 */
public final class Flink {
  private static final long CHECKPOINT_MS = 100;
  private static final String TRANSACTION_TIMEOUT_MS = "60000"; // the default of an hour is more than a broker allows

  static volatile long startedNs;

  public static void main(String[] arguments) throws Exception {
    String source = arguments[1];
    long count = Long.parseLong(arguments[4]);
    int partitions = Integer.parseInt(arguments[5]);
    Map<TopicPartition, Long> ends = new HashMap<>();
    for (int partition = 0; partition < partitions; partition++) {
      ends.put(new TopicPartition(source, partition), count / partitions);
    }
    StreamExecutionEnvironment environment =
        StreamExecutionEnvironment.createLocalEnvironment(
            Runtime.getRuntime().availableProcessors(), new Configuration());
    environment.enableCheckpointing(CHECKPOINT_MS);
    environment.getConfig().enableObjectReuse();
    KafkaSource<Tuple2<byte[], byte[]>> payments =
        KafkaSource.<Tuple2<byte[], byte[]>>builder()
            .setBootstrapServers(arguments[0])
            .setTopics(source)
            .setGroupId("flink-" + System.nanoTime())
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setBounded(OffsetsInitializer.offsets(ends))
            .setDeserializer(new Read())
            .build();
    KafkaSink<Tuple2<byte[], byte[]>> scores =
        KafkaSink.<Tuple2<byte[], byte[]>>builder()
            .setBootstrapServers(arguments[0])
            .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
            .setTransactionalIdPrefix("flink-" + System.nanoTime())
            .setProperty("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS)
            .setRecordSerializer(new Written(arguments[2]))
            .build();
    environment
        .fromSource(payments, WatermarkStrategy.noWatermarks(), "payments")
        .map(new Scored(arguments[3]))
        .sinkTo(scores);
    environment.execute();
    System.out.println(count / ((System.nanoTime() - startedNs) / 1e9));
    System.out.flush();
    Runtime.getRuntime().halt(0); // nothing of it is worth a clean end
  }

  /** Key and value, as they are. */
  private static final class Read implements KafkaRecordDeserializationSchema<Tuple2<byte[], byte[]>> {
    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tuple2<byte[], byte[]>> out) {
      out.collect(Tuple2.of(record.key(), record.value()));
    }

    @Override
    public TypeInformation<Tuple2<byte[], byte[]>> getProducedType() {
      return TypeInformation.of(new TypeHint<>() {});
    }
  }

  /** One payment. */
  private static final class Scored extends RichMapFunction<Tuple2<byte[], byte[]>, Tuple2<byte[], byte[]>> {
    private final String graph;
    private transient Scoring scoring;

    Scored(String graph) {
      this.graph = graph;
    }

    @Override
    public void open(OpenContext context) throws Exception {
      scoring = new Scoring(graph);
    }

    @Override
    public Tuple2<byte[], byte[]> map(Tuple2<byte[], byte[]> payment) {
      if (startedNs == 0) {
        startedNs = System.nanoTime();
      }
      payment.f1 = scoring.scored(payment.f1);
      return payment;
    }
  }

  /** A score under its payment's key. */
  private static final class Written implements KafkaRecordSerializationSchema<Tuple2<byte[], byte[]>> {
    private final String topic;

    Written(String topic) {
      this.topic = topic;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(
        Tuple2<byte[], byte[]> score, KafkaSinkContext context, Long timestamp) {
      return new ProducerRecord<>(topic, score.f0, score.f1);
    }
  }
}
