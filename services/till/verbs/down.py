from local import Home, take_down
from till.output import Output, OutputOption, notices, print_json


def down(output: OutputOption = Output.table) -> None:
    """Stop everything that `till up` started; the data is kept."""
    with notices.status("Stopping …"):
        stopped = take_down(Home())
    if output is Output.json:
        print_json({"stopped": stopped})
    elif stopped:
        notices.print(f"Stopped {', '.join(stopped)}. The data is kept in .tillstream.")
    else:
        notices.print("Nothing is running here.")
