"""What a network costs on the machine at hand: time, memory, bytes, arithmetic."""
