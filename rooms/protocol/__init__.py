"""The pure core: frames, serializers and rules. No asyncio, Django or Redis."""
