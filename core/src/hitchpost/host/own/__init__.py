"""Hitchpost's own surface, `/hitchpost/v1`: what neither of the other two has. Its errors are written as the OpenAI surface writes them."""
