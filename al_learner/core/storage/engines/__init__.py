"""How connections are made, how long they wait, and what their errors mean. No queries."""
