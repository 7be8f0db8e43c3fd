"""With which rights this process acts: root's, or those of the account that a policy names."""
