"""Reports for accountants: movement, liability, expected breakage, net issuance and its alert."""
