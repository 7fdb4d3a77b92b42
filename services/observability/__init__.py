"""What a process shows of itself: metrics, logs, health."""
