from sightlines.plan.table_schemas import written
from sightlines.training.history import COLUMNS, write_history


def test_the_columns_are_those_of_the_schema():
    assert written("training", "train")["history.csv"].required == COLUMNS


def test_numbers_have_nine_digits_and_no_rows_leave_the_head(tmp_path):
    path = tmp_path / "history.csv"
    row = {"step": 3, "split": "train", "loss": 1 / 3, "accuracy": 0.5, "learning_rate": 1e-3}
    write_history(path, [row])
    head = "step,split,loss,accuracy,learning_rate\n"
    assert path.read_text() == f"{head}3,train,0.333333333,0.5,0.001\n"
    write_history(path)
    assert path.read_text() == head
