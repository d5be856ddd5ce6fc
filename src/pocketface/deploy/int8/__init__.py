"""Networks in 8 bits: ranges from faces, sensitive layers in float, fine-tuning, ONNX with QDQ."""
