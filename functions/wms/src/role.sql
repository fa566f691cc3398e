SELECT role, unseen FROM caller
