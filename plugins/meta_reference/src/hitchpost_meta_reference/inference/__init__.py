"""The provider type `inline::meta-reference` of the API inference."""
