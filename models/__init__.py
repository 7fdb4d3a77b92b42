"""Everything between bytes and decision that needs no Kafka: features, simulation, networks, training, bundles, scoring."""

import os

# As shipped (1.29 and later), ONNX Runtime keeps events under the user's home and sends them to its maker: file names and
# hashes of models among them. It looks at this once, when it is imported, and only modules of this package import it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
