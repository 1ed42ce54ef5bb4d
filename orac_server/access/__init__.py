"""Who may ask: tokens, and which names and pages the service may be asked by."""
