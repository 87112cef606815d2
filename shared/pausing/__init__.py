"""A pause that stops the money and the service: what it would be, how it is made and ended, and its history."""
