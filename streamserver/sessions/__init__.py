"""Who is connected, who watches, who controls; and the events others listen to."""
