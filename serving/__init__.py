"""The embedded server, which speaks TensorFlow Serving's API, and the client of both."""
