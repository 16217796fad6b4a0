"""The town's post office: real mail, real pushes, real signatures; repeats counted; faults."""
