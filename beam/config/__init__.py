"""What is configured: settings, the environment, and their checks."""
