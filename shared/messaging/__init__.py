"""Azure Service Bus: the envelope, the sender and the dead-letter queue."""
