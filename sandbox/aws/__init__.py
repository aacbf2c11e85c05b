"""The emulated AWS: moto, corrected where AWS differs, and its enforcement of permissions."""
