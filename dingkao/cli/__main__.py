from dingkao.cli import main

main()
