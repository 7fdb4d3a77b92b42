"""Everything between bytes and decision that needs no Kafka: features, simulation, networks, training, bundles, scoring."""
