from robusteval.cli import main

main()
