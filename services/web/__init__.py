"""What our web servers share: uvicorn with bounds on connections by number, client, bytes and time, ended by our signals."""
