"""What the MongoDB adapters share: the driver, chosen in one module, and what its errors mean."""
