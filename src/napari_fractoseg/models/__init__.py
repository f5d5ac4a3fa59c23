"""Models: card, network, where they are kept, and the device they run on."""
