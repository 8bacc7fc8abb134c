"""Fine-tuning: what trains, the `Trainer`, and which of its checkpoints are whole."""
