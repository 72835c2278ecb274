"""The named-entity model that ships with the product: persons, places, organisations, street addresses."""
