"""What the tests share: fakes, clips, servers, and what they are made of."""
