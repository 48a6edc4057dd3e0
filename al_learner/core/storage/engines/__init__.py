"""How connections are made, and how long they wait. No queries."""
