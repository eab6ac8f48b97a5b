"""Messages to other people's servers: signed, bounded, and never to where they should not go."""
