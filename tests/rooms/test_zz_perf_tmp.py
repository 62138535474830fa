import time, io, csv, resource
from pathlib import Path
from dingkao.doctors.roster import import_roster
from dingkao.exams.importing import import_questions
from dingkao.people.organisations import import_institutions
from dingkao.journal.writing import TERMINAL
from tests import material
from tests.conftest import *  # noqa
S=Path('/work/shared/samples')
def timed(label,f):
    t=time.monotonic(); r=f(); print(f"{label}: {time.monotonic()-t:.2f}s {r.accepted} {r.changed} {r.unchanged} {len(r.errors)} w{len(r.warnings)} rss={resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024}MB")
def test_perf(in_province):
    with in_province('shanxi'):
        import_institutions((S/'institutions-14.csv').read_bytes(),by=TERMINAL)
        c=(S/'roster-14-clean.xlsx').read_bytes(); q=(S/'question-bank-cmexam.xlsx').read_bytes()
        for i in range(2):
            timed('roster',lambda: import_roster(c,by=TERMINAL)); timed('questions',lambda: import_questions(q,bank='x',by=TERMINAL))
    with in_province('hebei'):
        import_institutions(material.institutions(13),by=TERMINAL)
        from datetime import date, timedelta
        s=io.StringIO(); w=csv.writer(s); w.writerow(material.HEADINGS)
        for i in range(100000):
            r=material.roster_row(13,i%500); r['证件号码']=material.resident_number(i%500,sex=r['性别'],birth=date(1960,1,1)+timedelta(days=i//500),area='130105'); w.writerow(r.values())
        b=s.getvalue().encode()
        timed('100k',lambda: import_roster(b,by=TERMINAL)); timed('100k again',lambda: import_roster(b,by=TERMINAL))
