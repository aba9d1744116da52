"""What a hand is: skeleton, parametric model, template assets (torch, NumPy)."""
