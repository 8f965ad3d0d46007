"""The base install serves: a trained shop answers with every training library out of reach."""

import subprocess
import sys
import textwrap

BLOCKED = (
    "torch",
    "transformers",
    "onnx",
    "onnxscript",
    "safetensors",
    "lightgbm",
    "sklearn",
    "pandas",
    "altair",
)


def test_a_trained_shop_serves_with_every_training_library_out_of_reach(trained):
    script = textwrap.dedent(f"""
        import sys

        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {BLOCKED!r}:
                    raise ModuleNotFoundError(f"{{name}} is out of reach", name=name)

        sys.meta_path.insert(0, Blocked())
        from shopkeeper import Shop
        from shopkeeper.serving.app import create_app

        with Shop.open({str(trained)!r}) as shop:
            shop.warm()
            create_app(shop)
            shop.add_events([{{"event_name": "view_item", "visitor_id": "v", "item_id": "22001"}}])
            assert shop.recommend("home", user_id="12000").results
            assert shop.search("tea light").results
        print(sorted(set({BLOCKED!r}) & set(sys.modules)))
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
