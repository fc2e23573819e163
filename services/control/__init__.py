"""The control side: commands in, their outcome out. The only HTTP routes that write, and all they write is commands."""
