"""AWS on this machine: the services by moto, Lambda in this process, and the template that describes both."""
