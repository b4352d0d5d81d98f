import argparse

from projector.app import main
from readmodels import READ_MODELS
from runtime import Settings, run

parser = argparse.ArgumentParser(prog="projector", description="Keep one read model up to date.")
parser.add_argument("read_model", choices=sorted(READ_MODELS))
run(main(parser.parse_args().read_model, Settings()))
