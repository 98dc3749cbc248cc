"""What the project is made of and built with: licences, bill of materials, secrets, workflows."""
