"""The provider type `remote::bedrock` of the API inference."""
