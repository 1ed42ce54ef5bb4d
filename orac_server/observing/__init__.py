"""What operators see: a line of the log for each request, metrics, and spans where wanted."""
