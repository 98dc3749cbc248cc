"""Whatever comes from outside: messages, webhooks, vendors' answers, texts for the log. Only our errors come out."""
