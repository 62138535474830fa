"""Files on their way in: sent in pieces, taken up again where the connection was cut, handed to the room that wants them."""
