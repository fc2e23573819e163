"""Being told: who gets Alertmanager's messages, and the review of a day as one of them."""
