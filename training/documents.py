"""Generated documents: business text of many kinds with names from many cultures, and text in which nobody is named.

A template's slots are `{P}` a person in some form, `{F}` a given name, `{S}` a surname (after a title), `{R}` a name
in reverse ("Doe, Jane"), `{I}` and `{N}` initials and surname, `{L}` a place, `{O}` an organisation, `{B}` its short
name, `{A}` a street address; the lower-case ones are words that are no entity. Slots with a figure belong together:
`{P1}`, `{F1}` and `{S1}` are one person (`{S1}` without a title). Of `[[this|that]]` one is said.

The longer documents stand in `business.txt`, those that name nobody in `nobody.txt`.
"""

from __future__ import annotations

import random
import re
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path

from .names import Names

Span = tuple[int, int, str]
_THANKS = re.compile(
    r"(?i)author|written|copyright|\\bby [A-Z]|@[a-z]|thanks|credit|Guido|Tim |contributed|Mr\\.|Amsterdam|Corporation"
)
SLOT = re.compile(r"\{([A-Z])(\d?)\}|\{([a-z]+)\}")
CHOICE = re.compile(r"\[\[([^\[\]]*?)\]\]")
FOLDER = Path(__file__).parent
TYPES = {
    "P": "PERSON",
    "F": "PERSON",
    "S": "PERSON",
    "R": "PERSON",
    "I": "PERSON",
    "N": "PERSON",
    "L": "LOCATION",
    "O": "ORGANIZATION",
    "B": "ORGANIZATION",
    "A": "STREET_ADDRESS",
}

SENTENCES = """
{P} will present the {month} numbers to the board.
Please forward the contract to {P} at {O} before {day}.
I spoke with {F} about the {thing}, and {F} agrees.
{S} {verb} the {thing} without telling {S}.
Could {F} take over the {thing} from {F} while she is in {L}?
The {thing} was approved by {P}, {role} of {O}.
{P}, our {role} in {L}, is on leave until {date}.
We are sorry to hear that {P} is leaving {O} after {num} years.
{O} has opened an office in {L} and hired {P} as {role}.
The supplier {O} in {L} raised its price by {num} percent.
Invoice {id} from {O} is overdue; contact {P} on {phone}.
{P} was born in {L} and moved to {L} in {num}.
According to {P}, the {thing} in {L} will be closed.
Shipment {id} left {L} on {day} and reaches {L} on {date}.
Send the parcel to {A}.
My new address is {A}, please update your records.
{P} lives at {A}.
The meeting takes place at {A}, second floor.
Registered office: {A}.
{F} and {F} will join us from {L}.
{F}, {F} and {P} were copied on the mail.
Has anybody seen {F}?
thanks, {F}
ask {F} or {F} if you need access to the {thing}
i think {F} {verb} it, but check with {P}
{F}'s laptop is broken, {F}'s works.
The claimant {P} says that {S} {verb} the car.
{S} told the court that {O} never paid.
{O} and {O} signed a letter of intent in {L}.
{O}'s shares fell after {P} resigned.
A spokesman for {O} declined to comment.
Customers in {L}, {L} and {L} cannot log in.
The patient, {P}, {num} years old, complains of headaches.
Dr. {S} prescribed antibiotics; {S} will see the patient again in {month}.
{P} ({role}) and {P} ({role}) interviewed the candidate.
The candidate studied at {O} and worked for {O} in {L}.
{P} has {num} years of experience with {tech} and {tech}.
{P} signed for the goods on {date}.
Flight from {L} to {L} for {P}, seat {id}.
Hotel in {L} for {F} and {S}, two nights.
{P} asked whether the {thing} covers {L}.
Tell {F} that the {thing} is ready.
Mr {S} and Mrs {S} want to open a joint account.
Ms. {S} called about policy {id}; please ring her back on {phone}.
The account of {P} was opened in our {L} branch.
{P} transferred {money} to {P}.
Payment of {money} received from {O}, reference {id}.
Our lawyer {P} thinks the clause is void under the law of {L}.
Written by {P} for {O}.
Photo: {P}/{O}
{P} said on {day} that she would not stand again.
{L} and {L} signed a trade agreement.
Prices in {L} rose faster than in {L}.
Profits at {O} doubled, the company said in {L}.
I am {P} and I work for {O}.
My name is {P}.
this is {F} from {O}, am i speaking to {P}?
Hi, {F} here. The {thing} in {L} is down again.
{R}: present. {R}: absent.
Attendees: {I}, {I}, {I}
Chair: {P}. Secretary: {P}.
Approved by {I} on {date}.
cc {F}, {P}
@{F} can you look at this?
{F} -> {F}: done
{P} <{email}> wrote:
On {date}, {P} <{email}> wrote:
Best wishes, {P}, {role}, {O}
Please welcome {P}, who joins us from {O}.
Happy birthday {F}!
{F} is my brother, {F} is my boss.
My daughter {F} goes to school in {L}.
{P} was promoted to {role}.
The heirs of {P} sold the house in {L}.
{P}, a resident of {L}, filed a complaint against {O}.
Landlord: {P}. Tenant: {P}. Premises: {A}.
{P} of {A} hereby appoints {P} of {A} as attorney.
This agreement is made between {O}, {A}, and {P}.
The undersigned, {P}, declares that {S} owes {money}.
Witness: {P}
In the matter of {S} v. {S}
{O} v. {O}, decided in {L}
Our team in {L} consists of {F}, {F}, {F} and {F}.
{F} ({L}) and {F} ({L}) share the on-call duty.
Remind {F} to call {S} about the {thing}.
{P} joined {O} in {num} as {role}.
{O} is hiring a {role} in {L}.
The {tech} migration is led by {F}.
{F} broke the build with the {tech} upgrade.
{F} reviewed {F}'s pull request.
Assign the ticket to {F}, she knows {tech}.
root cause found by {F} at {num}:{num}
Escalated to {P} in {L}.
{P} from {O} visited our plant near {L}.
{L} office: {phone}
The warehouse in {L} is full.
We ship to {L} but not to {L}.
The team travelled from {L} via {L} to {L}.
She grew up in {L}.
The river floods parts of {L} each spring.
{P} met {P} in {L} on {date}.
{O} was founded by {P} and {P} in {L}.
The {dept} department of {O} is moving to {A}.
Ask the {dept} team whether {F} has replied.
Neither {F} nor {F} answered.
Did you mean {P} or {P}?
I told {F}: "{F} must not see this."
"{F}, come here," said {P}.
Thank you {F} for the quick answer
Dear {S}, thank you for your order {id}.
{P} owns {num} percent of {O}.
{O}, represented by its managing director {P}
Beneficiary: {P}, account with {O}
Policy holder {P}, insured with {O} since {num}
Emergency contact: {F} (mother), {phone}
Next of kin: {P}, {A}
Referred by Dr {S}, {O}
Nurse {F} noticed that Mr {S} had not slept.
Professor {S} of {O} examined the thesis of {P}.
Teacher: Ms {S}. Pupils: {F}, {F}, {F}.
Coach {S} praised {F}.
Judge {S} dismissed the case of {P}.
Sergeant {S} took the statement of {P} in {L}.
Seller {P}, buyer {P}, property {A}
Driver: {P}, plate {id}, route {L} - {L}
The guests {P} and {P} complained about the room.
{P} cancelled the booking for {L}.
Please book a table for {S}, four persons, {day}.
Deliver to reception, {A}, attention {P}.
Pick up at {A}, drop at {A}
The invoice address is {O}, {A}.
Head office {L}, branch offices in {L} and {L}
Nationality: {L}. Place of birth: {L}.
The embassy of {L} in {L} issued the visa.
{P} translated the letter from {S}.
{F} {verb} the {thing}; {F} did not.
write an email to {F} about the {thing}
Write a letter to {P} of {O} in {L} in which I decline the offer.
Summarise what {P} and {P} said about the {thing}.
What did {F} promise to {O}?
Make a list of all tasks for {F} and {F}.
Translate the message of {P} into German.
Make this more polite: {F}, where is the {thing}?
Draft an answer to {S}, who lives in {L}, about claim {id}.
Who is {P}?
Is {P} still with {O}?
explain the {thing} to {F} in simple words
Check whether {P} appears on the list of {O}.
remove {F} from the {tech} group and add {F}
Prepare a contract for {P}, {role}, starting {date} in {L}.
Compare the offers of {O}, {O} and {O}.
What is the weather like in {L} in {month}?
Plan a three day trip to {L} and {L} for {F} and me.
{F} says hello.
{F} is late, as always.
{F} and I were in {L} over the weekend.
{P} has not paid the rent for {month}.
{P} has been seeing Dr. {S} for her back.
{P}, a father of two, was injured near {L}.
{P}'s contract ends on {date}.
{P}'s phone number is {phone}.
{S}'s report was late; {F}'s was not.
it was {F} who deleted the {thing}, not {F}
sorry {F}, i forgot the {thing}
dear {F}, how are you? love, {F}
pls tell {F} & {F} to bring the {thing} tmrw
{F} wont come, her kid {F} is sick
my ex {F} still lives at {A}
my wife {F} and i moved from {L} to {L}
my boss ({P}) said no
anyone from {O} here? looking for {P}
CALL {F} BEFORE {day}
{P} TO SIGN BY {date}
URGENT: {P} LOCKED OUT, SITE {L}
Prepared for: {O}. Prepared by: {P}, {role}.
Speaker: {P} ({O}, {L})
Panel: {P}, {P} and {P}
Keynote by {P}: how {O} moved to {tech}
{P} holds a degree from the University and speaks German.
{P} reports to {P}, who reports to {P}.
{P} replaced {P} as {role} of {O}.
{P} (born {num} in {L}) is a former {role}.
Both {F} and {F} prefer {tech} to {tech}.
Whether {F} or {F} pays does not matter.
If {F} calls, say I am out.
Since {F} left, {F} does the {thing}.
With {F} away, {P} signs for {O}.
Between {F} and {F} there was no agreement on the {thing}.
Sent by {F} on behalf of {P}
Signed: {P}
Received from {P} the sum of {money}.
Pay to the order of {P} {money}
For the attention of {S}
Visitor: {P}, host: {P}
Room booked by {F} until {num}:{num}
{F} has birthday on {date}
Names: {F}, {F}, {P}, {P}.
Team: {P} (lead), {P}, {F}
Shortlist: {P}; {P}; {P}
The twins {F} and {F} start school in {L}.
Grandmother {F} lives in {L}, uncle {F} in {L}.
The deceased, {P}, leaves a house at {A}.
Officer {S} arrested {P} in {L} at {num}.
The landlord, {P}, refuses to repair the {thing}.
{O} dismissed {P} after a dispute over the {thing}.
{O} wants {money} from {P}.
{O} acquired {O} for {money}.
{O} and {S} settled.
{O}, {O} and {O} bid for the project in {L}.
I bought it from {O} and the warranty is with {O}.
She left {O} for {O}.
Is {O} a customer of ours?
The {O} account is handled by {F}.
Our contract with {O} expires in {month}.
{O} uses {tech}, {O} does not.
An engineer at {O} found the error in {tech}.
Made in {L} by {O}.
{L}-based {O} sells {thing}s to {O}.
The {L} authorities fined {O}.
{L} time, not {L} time
From {L} with love
Fly to {L}, then take the train to {L}.
Weather in {L}: rain
He moved to {L}, {L}, in {num}.
The {L} plant stays open, the one in {L} closes.
roads around {L} are closed
is {L} in {L}?
we live in {L} but work in {L}
Meet me at {A}, near the station.
Parking: {A}
He was seen at {A} on {date}.
the flat at {A} is too small
Return to: {P}, {A}
Site address: {A}
Store no. {num}: {A}
Property at {A}, owned by {P} and {P}
{A} is our new office.
Invoice to {P}, {A}, {phone}
""".strip().split("\n")

NEGATIVES = """
Please review the {thing} before {day}.
The {tech} service restarts when the {thing} is missing.
Explain how {tech} differs from {tech}.
What is the capital gain if I sell for {money} after {num} years?
Executive Summary
Terms and Conditions
Next Steps and Action Items
Customer Success Manager
Senior Software Engineer, Platform Team
Chief Financial Officer
Annual General Meeting
Quarterly Business Review
Human Resources Policy
Total Amount Due: {money}
The Supplier shall deliver the Goods to the Buyer within {num} days.
The Tenant shall keep the Premises in good order.
"Confidential Information" means all information disclosed by the Disclosing Party.
The Agreement may be terminated by either Party on {num} days' notice.
Section {num}. Limitation of Liability
Schedule {num}: Service Levels
Write a Python function that parses {tech} files.
How do I undo the last commit in {tech}?
Rewrite the following paragraph in a friendly tone.
Translate this sentence into Spanish and French.
Give me three ideas for a team event in {month}.
Summarise the text below in five bullet points.
Create a checklist for onboarding a new {role}.
The {dept} department needs a new {thing}.
Our {role} asked for a {thing} by {day}.
On {day} morning the {thing} failed twice.
In {month} the budget will be frozen.
{month} is the best month, {day} the worst day.
May I take a day off in May?
Will the Will be read on {day}?
The bill was paid; please mark the page and frank the letter.
Grace period, hope value, joy stick, faith based, dawn patrol.
Rose petals, lily pads, ivy leaves and a daisy chain.
The art of the deal, the jack of all trades, a bob in the hair.
Carol singing, summer sale, amber alert, ruby on rails, crystal report.
Use Bearer tokens, Basic auth or OAuth.
Click Save As, choose Export to PDF and press Enter.
Settings > Privacy > Data Protection > Export
Open File Explorer, go to Program Files and delete Temp.
Error: Connection Refused
WARNING: Deprecated Option
NOTE: ALL AMOUNTS IN THOUSANDS
STATUS: IN PROGRESS
IMPORTANT NOTICE TO ALL EMPLOYEES
DO NOT REPLY TO THIS MESSAGE
Order Number: {id}
Invoice Date: {date}
Due Date: {date}
Priority: High
Subject: Weekly Report
Dear Customer,
Dear Sir or Madam,
Dear Hiring Manager,
Dear Colleagues,
Hello everyone,
Hi team,
To Whom It May Concern
Kind regards
Best regards,
Yours sincerely
Many thanks in advance
Looking forward to hearing from you
First Name:
Last Name:
Street, City, Postcode
Name of Applicant
Date of Birth: {date}
Account Holder
Use the Newton method, a Gaussian filter, the Fourier transform or Bayesian statistics.
A Markov chain, a Hilbert space, the Dijkstra algorithm, a Bloom filter.
Boolean algebra, Turing machine, Pareto chart, Gantt chart, Kanban board.
Swiss cheese, French fries, English breakfast, Danish pastry, Turkish coffee.
Parkinson's disease, Down syndrome, Caesarean section and Achilles tendon.
The Nobel Prize, an Oscar, a Grammy, the Champions League.
Monday Tuesday Wednesday Thursday Friday Saturday Sunday
January February March April May June July August
North South East West
Q1 Q2 Q3 Q4 FY24 EBITDA ROI KPI OKR SLA NDA
HTTP/1.1 200 OK Content-Type: application/json
GET /api/v1/orders/{num}?page=2
curl -X POST -H "Content-Type: application/json"
SELECT name, email FROM users WHERE active = true ORDER BY created_at;
CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, total NUMERIC);
import numpy as np; from collections import Counter
def main(): return Parser().run(sys.argv)
class OrderService(BaseService): pass
public static void main(String[] args) {
const Button = styled.button; export default Button;
if (user.isAdmin && !session.expired) return redirect(Home);
kubectl get pods -n production
docker compose up -d --build
git checkout -b feature/new-login
npm install --save-dev typescript
for (int i = 0; i < n; ++i) sum += values[i];
Traceback (most recent call last): ValueError: invalid literal
java.lang.NullPointerException at Main.run(Main.java:{num})
{date} INFO Server started on port {num}
{date} ERROR Request failed: Timeout
The King is dead, long live the King.
Mother and Father of the Bride
The President, the Prime Minister and the Chancellor met.
The Company, the Board and the Shareholders agree.
The plaintiff and the defendant agreed to settle.
He said that she had told them about it.
She will mark it, he can bill it, they may chase it.
The patient reports chest pain and shortness of breath.
Blood pressure {num}/{num}, pulse {num}.
Is it better to rent or to buy?
Can you check the spelling of this text?
Make it shorter.
Why is the sky blue?
Thanks!
ok, will do
yes please
Sounds good, see you on {day}
Let's meet at {num} in the Blue Room.
Project Phoenix goes live on {date}.
The Falcon release fixes the {thing}.
Version {num}.{num} of the Mobile App is out.
Python, Java, Ruby, Rust, Julia, Ada and Pascal are languages.
Apache Spark, Jenkins, Jupyter, Kafka and Maven run on Linux.
Our {tech} cluster and the {tech} server need an upgrade to {tech} {num}.
Ask the {dept} team or the {role}.
The {role} and the {role} share an office.
Every {role} gets a {thing}.
Team Lead, Customer Care
Head of Department
Vice President Operations
Regional Sales Director
Key Account Management
Supply Chain Optimisation
Cloud Migration Strategy
Working From Home Policy
Code of Conduct
Equal Opportunities Statement
Frequently Asked Questions
Table of Contents
Profit and Loss Statement
Balance Sheet as of {date}
Risk Assessment Matrix
Force Majeure
Governing Law and Jurisdiction
Intellectual Property Rights
Notice of Termination
Power of Attorney
Last Will and Testament
Certificate of Employment
Letter of Recommendation
Patient Information Leaflet
Discharge Summary
Informed Consent
Mathematics, Physics, Chemistry and History
German, English, Arabic, Mandarin and Hindi
Christians, Muslims, Jews and Hindus celebrate.
Christmas, Easter, Ramadan, Diwali and Hanukkah
The General Data Protection Regulation and the Companies Act
Act as a {role} and answer my questions.
You are a helpful assistant. Answer in Markdown.
You are an expert in {tech}. Think step by step.
Improve the style, keep the meaning.
Turn this into a table with the columns Date, Amount and Status.
Extract all dates and amounts.
Classify the sentiment: Positive, Negative or Neutral.
Which of these options is cheaper?
What does this error mean?
Return JSON with the keys name, age and city.
Explain it like I am five.
Write a poem about rain.
Generate a SQL query that counts orders by month.
Refactor this component and add tests.
Is this email too harsh?
Can you translate the attached letter?
Find the mistakes.
Give three reasons for and against.
Please fill in Name, Surname and Address.
Username: admin, Password: changeme
Enter your First Name and Last Name.
The customer wants a refund for order {id}.
The driver was late and the parcel was damaged.
The parties met on {date} and agreed on the following.
The employee shall receive a salary of {money}.
The borrower shall repay the loan in {num} instalments.
My manager is unfair and my colleagues are no help.
The nurse gave {num} mg of Ibuprofen and Paracetamol.
Vitamin D, Aspirin, Insulin and Penicillin
iPhone, iPad, MacBook, Windows and Galaxy
Chrome, Firefox, Safari and Edge
Visual Studio Code, Eclipse and Vim
Model S, Golf, Corolla and Civic
Big Data, Machine Learning and Artificial Intelligence
Agile, Scrum, Lean and Six Sigma
Black Friday, Cyber Monday and Boxing Day
Happy Birthday! Congratulations! Well Done!
OK Cancel Apply Help
Yes No Maybe
True False None Null
TODO FIXME HACK XXX
README LICENSE CHANGELOG Makefile Dockerfile
userName = request.getParameter("userName");
customer_name, first_name, last_name, street_address
"firstName": null, "lastName": null, "city": ""
logger.info("Starting Application Context")
Exception in thread "main" Fatal Error
[INFO] Build Success
[WARN] Disk Usage Above {num}%
Caused by: TimeoutException: Read Timed Out
Job {id} Finished With Status Completed
A: yes|B: no|C: maybe
1. Introduction 2. Methods 3. Results 4. Discussion
Figure {num}: Revenue by Region
Chapter {num} The Beginning
Dear Valued Customer
Dear Parents,
Dear Sirs
Hi there
Good morning all
Sincerely
Warm regards
Cheers
Best
Sent from my iPhone
Please do not hesitate to contact us.
Attention: Handle With Care
Mind the gap, and the Wet Floor.
Art, Rich, Chip, Skip and Sandy are also words: art is long, the rich get richer, skip the sandy chip.
Victoria sponge, Cheddar, Champagne, Cologne and Bologna taste good.
the may issue, the march on the hill, an august body
pat the dog, sue the firm, nick the car, drew a line, will do, mark my words
a grant for the dean, the price of a cook, the baker and the miller, a knight and a bishop
""".strip().split("\n")

FORMS = """
Name: {P}|City: {L}|Employer: {O}
First name: {F}|Last name: {S}|Street: {A}
Full Name: {P}|Date of birth: {date}|Place of birth: {L}|Address: {A}
From: {P}|To: {P}|Subject: {thing}
From: {P} <{email}>|To: {F} {S} <{email}>|Cc: {P}|Date: {date}|Subject: Re: {thing}
Customer: {P}|Order: {id}|Ship to: {A}
Patient: {R}|Ward: {num}|Physician: Dr. {S}
Employee: {P}|Manager: {P}|Location: {L}|Department: {dept}
Reporter: {P}|Assignee: {F}|Priority: high|Component: {tech}
Contact: {P}|Company: {O}|Phone: {phone}|City: {L}
name: {P}|role: {role}|office: {L}
- {P}|- {P}|- {P}
1. {P}|2. {P}|3. {P}|4. {P}
* {F}: {thing}|* {F}: {thing}|* {F}: out of office
{F}: did you get the {thing}?|{F}: yes, {F} sent it|{F}: ok
{P}: Good morning.|{P}: Good morning, Mr. {S}.
[{num}:{num}] {F}: where is {F}?|[{num}:{num}] {F}: in {L}
Hi {F},||the {thing} is done.||Best|{F}
Dear Mr. {S},||your order {id} was shipped to {A}.||Kind regards|{P}|{O}
Dear {F},||{P} asked me to send you the {thing}.||Regards,|{P}|{role}
Hello {F} and {F},|please meet {P} from {O}.|Cheers, {F}
Dear Ms {S}|Thank you for calling {O}.|Yours sincerely|{P}|{role}, {O}
{P}|{role}|{O}|{A}|{phone}
{P}|{A}
{O}|{A}|{L}
Present: {P}, {P}, {P}|Apologies: {I}|Minutes: {F}
Action items|{F}: call {O}|{F}: book flights to {L}|{F} and {F}: budget
name,city,company|{P},{L},{O}|{P},{L},{O}|{P},{L},{O}
id;first_name;last_name;country|{num};{F};{S};{L}|{num};{F};{S};{L}
| Name | City | Team ||---|---|---|| {P} | {L} | {dept} || {P} | {L} | {dept} |
name	email	city|{P}	{email}	{L}|{P}	{email}	{L}
{"name": "{P}", "city": "{L}", "active": true}
{"first_name": "{F}", "last_name": "{S}", "company": "{O}"}
{"user": {"id": {num}, "fullName": "{P}", "address": "{A}"}}
{"author": "{P}", "reviewers": ["{F}", "{F}"], "status": "open"}
[{"from": "{F}", "text": "tell {F} i am late"}, {"from": "{F}", "text": "ok"}]
customer:|  name: {P}|  city: {L}|  company: {O}
owner: {P}|members:|  - {F}|  - {F}|  - {P}
INSERT INTO customers (name, city) VALUES ('{P}', '{L}');
SELECT * FROM employees WHERE last_name = '{S}' AND city = '{L}';
UPDATE orders SET contact = '{P}' WHERE id = {num};
user = User(name="{P}", city="{L}")|assert user.city == "{L}"
person = {"given": "{F}", "family": "{S}"}
String author = "{P}"; // {O}
# Author: {P} <{email}>|# Copyright (c) {num} {O}
// TODO({F}): remove after {month}
/* written by {P}, {O} */
print("Hello {F}")
greet("{F}", "{L}")
commit {id}|Author: {P} <{email}>|Date: {date}
Signed-off-by: {P} <{email}>
Reviewed-by: {P} <{email}>
{date} INFO user={F} action=login city={L}
{date} INFO [{id}] user "{P}" logged in from {L}
{date} WARN payment of {P} declined by {O}
level=info msg="created account" name="{P}" org="{O}"
<person><name>{P}</name><city>{L}</city></person>
<td>{P}</td><td>{O}</td><td>{L}</td>
<li>{F} {S}</li>|<li>{P}</li>
BEGIN:VCARD|FN:{P}|ORG:{O}|ADR:;;{A}|END:VCARD
Passenger: {R}|From: {L}|To: {L}|Date: {date}
Guest {P}, arrival {date}, {L}
Plaintiff: {P}|Defendant: {O}|Court: {L}
Sender: {P}, {A}|Recipient: {P}, {A}
Ship To:|{P}|{A}
Bill To: {O}, {A}
Attn: {P}|{O}|{A}
Interviewer: {F}|Candidate: {P}|Notes: worked at {O}, wants to stay in {L}
Q: Who owns the {thing}?|A: {F}, since {month}
{F}, {F}, {F}, {F}
{P}; {P}; {P}
{F} / {F} / {F}
{L}, {L}, {L}, {L}
{R}|{R}|{R}
{F} +{num}|{F} -{num}
Team {L}: {F}, {F}|Team {L}: {F}, {F}
""".strip().split("\n")

WORDS: dict[str, list[str]] = {
    "month": "January February March April May June July August September October November December".split(),
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "thing": (
        "budget,report,annual report,password,contract,roadmap,invoice,security review,printer,VPN access,data sheet,"
        "offer,lease,slide deck,test plan,Statement of Work,purchase order,pension plan,mortgage,tax return,audit,"
        "Service Agreement,key card,coffee machine,backup,release,firewall rule,dashboard,forecast,claim,licence,visa,"
        "presentation,minutes,Master Plan,health insurance,delivery note,price list,Data Protection Agreement,"
        "headcount plan,training,parking space,Project Charter,travel policy,expense claim,reference,blood test,X-ray"
    ).split(","),
    "role": (
        "Head of Sales,chief executive,managing director,project manager,CFO,CTO,accountant,nurse,Senior Consultant,"
        "software engineer,Account Manager,team lead,data scientist,paralegal,Vice President,treasurer,HR Manager,"
        "office manager,product owner,analyst,Chief Operating Officer,driver,intern,receptionist,Marketing Director"
    ).split(","),
    "dept": "Sales,Finance,Legal,Human Resources,Marketing,Engineering,Logistics,Procurement,IT,Support,R&D,HR".split(
        ","
    ),
    "tech": (
        "Kubernetes,Docker,Python,Java,Terraform,Postgres,Redis,Kafka,React,Angular,Jenkins,Jira,Confluence,Excel,"
        "Salesforce,SAP,Windows,Linux,Android,Git,GitHub,Slack,Outlook,Teams,Tableau,Power BI,Oracle,MongoDB,Spark,"
        "Airflow,Grafana,Prometheus,Elasticsearch,GraphQL,TypeScript,Rust,Go,Swift,Ruby,Django,Flask,Spring Boot,"
        "Ansible,Vault,Istio,Helm,nginx,RabbitMQ,Snowflake,PyTorch,Jupyter,Word,PowerPoint,SharePoint,Zoom"
    ).split(","),
    "team": (
        "Platform,Growth,Payments,Data,Security,Mobile,Field Service,Customer Success,Treasury,Compliance,Fleet,Claims,"
        "Quality,Onboarding,Web,Search,Payroll,Facilities,Revenue Operations,Business Intelligence,Corporate Affairs"
    ).split(","),
    "product": (
        "Jira,Confluence,Microsoft Teams,Google Docs,Google Sheets,Office 365,Power BI,Photoshop,Slack,Zoom,Notion,Trello,"
        "Excel,Word,Outlook,Gmail,Chrome,Windows 11,macOS,iPhone,Galaxy S23,ThinkPad,Surface Pro,Apple Pay,Google Maps,"
        "Salesforce Service Cloud,SAP S/4HANA,Oracle Database,Dynamics 365,Visual Studio,GitHub Actions,GitLab CI,BigQuery,"
        "Amazon S3,Azure DevOps,Alexa,Siri,Copilot,ChatGPT,Claude,Gemini,Watson,Adobe Acrobat,WhatsApp,Signal,Skype,"
        "QuickBooks,Xero,DocuSign,Zendesk,HubSpot,Workday,ServiceNow,Figma,Miro,Asana,Monday,Tableau,Looker,Model 3,"
        "Golf GTI,Corolla,Sprinter,PlayStation,Kindle,Fire TV,Nespresso,Thermomix,Hilux,LaserJet,iPad Pro,Pixel"
    ).split(","),
    "project": (
        "Phoenix,Atlas,Falcon,Mercury,Apollo,Gemini,Everest,Orion,Titan,Polaris,Aurora,Neptune,Odyssey,Horizon,Cobra,"
        "Avalon,Alpha,Fit for Growth,One Platform,Project Blue,Next Level,Northstar,Lighthouse,Bluebird,Delta,GreenIT"
    ).split(","),
    "room": (
        "Blue Room,Room 4.12,Meeting Room B,Boardroom,the Oak Room,Conference Room 3,Zoom,Teams,the Atrium,Training Room,"
        "the Auditorium,Room Einstein,Room Galileo,Building 7,the canteen,Hall 2,Video Call,Main Lobby,Studio A"
    ).split(","),
    "law": (
        "the GDPR,the Sarbanes-Oxley Act,HIPAA,the Dodd-Frank Act,the AI Act,the Companies Act 2006,the Equality Act,CCPA,"
        "the Data Protection Act,MiFID II,Basel III,the Works Constitution Act,ISO 27001,PCI DSS,SOC 2,the Civil Code,"
        "the Digital Services Act,the Money Laundering Regulations,IFRS 16,the Minimum Wage Act,the Modern Slavery Act"
    ).split(","),
    "event": (
        "Web Summit,Customer Day,Annual Conference,DevDays,Leadership Offsite,Sales Kick-off,Hannover Messe,Town Hall,"
        "PyCon,re:Invent,Dreamforce,Mobile World Congress,Career Fair,Partner Forum,Hackathon,AI Week,Book Fair,World Cup"
    ).split(","),
    "drug": (
        "Metformin,Ramipril,Ibuprofen,Paracetamol,Warfarin,Eliquis,Xarelto,Lipitor,Aspirin,Amoxicillin,Prednisolone,"
        "Sertraline,Lexapro,Ozempic,Insulin glargine,Pantoprazole,Bisoprolol,Humira,Ventolin,Tavor,Zoloft,Voltaren"
    ).split(","),
    "nat": (
        "German,French,Spanish,Italian,British,American,Chinese,Japanese,Turkish,Polish,Dutch,Swedish,Indian,Brazilian,"
        "Russian,Arabic,Portuguese,Greek,Korean,Swiss,Irish,Mexican,Canadian,Danish,Hebrew,Hindi,Ukrainian,Vietnamese"
    ).split(","),
    "verb": "signed,sold,lost,found,cancelled,approved,rejected,broke,fixed,ordered,forgot,updated,sent,wrote".split(
        ","
    ),
}


@cache
def code() -> list[str]:
    """Stretches of Python's standard library (PSF licence) in which nobody is thanked or named."""
    stretches = []
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
        for at in range(0, len(lines), 8):
            stretch = "\n".join(lines[at : at + random.Random(at).randint(2, 8)])
            if stretch.strip() and stretch.isascii() and not _THANKS.search(stretch):
                stretches.append(stretch)
    return stretches


def _number(rng: random.Random) -> str:
    return str(rng.choice([rng.randint(1, 30), rng.randint(1, 999), rng.randint(1950, 2030), rng.randint(1000, 99999)]))


def _date(rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), rng.choice(WORDS["month"]), rng.randint(1990, 2030)
    number = rng.randint(1, 12)
    return rng.choice(
        [
            f"{day} {month} {year}",
            f"{year}-{number:02}-{day:02}",
            f"{month} {day}, {year}",
            f"{day:02}/{number:02}/{year}",
            f"{day:02}.{number:02}.{year}",
            f"{day} {month}",
            f"{year}-{number:02}-{day:02}T{rng.randint(0, 23):02}:15:09Z",
        ]
    )


def _code(rng: random.Random) -> str:
    letters = "".join(rng.choices("ABCDEFGHKLMNPRSTUVXYZ", k=rng.randint(1, 3)))
    return rng.choice(
        [f"{letters}-{rng.randint(100, 99999)}", f"{letters}{rng.randint(1, 9999)}", f"#{rng.randint(100, 99999)}"]
    )


def _mail(rng: random.Random) -> str:
    return f"{rng.choice(['info', 'a.b', 'kx', 'mail.to', 'q_1'])}{rng.randint(1, 99)}@{rng.choice(['x.example', 'corp.example.com', 'y.org'])}"


FILLERS: dict[str, Callable[[random.Random], str]] = {
    "num": _number,
    "date": _date,
    "id": _code,
    "email": _mail,
    "phone": lambda rng: rng.choice(
        [
            f"+{rng.randint(1, 99)} {rng.randint(100, 999)} {rng.randint(1000000, 9999999)}",
            f"0{rng.randint(100, 999)} {rng.randint(10000, 999999)}",
        ]
    ),
    "money": lambda rng: (
        f"{rng.choice(['$', '€', '£', 'EUR ', 'USD ', 'CHF '])}{rng.randint(1, 9999)}{rng.choice(['', '.50', ',000', ' million'])}"
    ),
    **{name: (lambda rng, words=words: rng.choice(words)) for name, words in WORDS.items()},
}


def _lines(form: str) -> str:
    """A form's lines; in a table's, the bar stays."""
    return form.replace("||", "|\n|") if form.startswith("|") else form.replace("|", "\n")


@cache
def written(name: str) -> list[str]:
    """The documents of a file beside this one."""
    return [each.strip("\n") for each in (FOLDER / name).read_text().split("%%\n")]


class Writer:
    """Writes documents of its own, and puts new names into those of others."""

    def __init__(self, names: Names, rng: random.Random) -> None:
        self._names, self._rng = names, rng

    def document(self) -> tuple[str, list[Span]]:
        """A text and its spans."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.04:
            return rng.choice(code()), []
        if kind < 0.44:
            return self._filled(self._part(rng.choice(written("business.txt"))))
        if kind < 0.53:
            return self._filled(self._part(rng.choice(written("nobody.txt"))))
        if kind < 0.70:
            return self._filled(_lines(rng.choice(FORMS)))
        count = rng.choice([1, 1, 2, 3, 4])
        pool = [NEGATIVES if rng.random() < (0.8 if kind > 0.90 else 0.4) else SENTENCES for _ in range(count)]
        parts = [rng.choice(each) for each in pool]
        glue = rng.choice([" ", " ", "\n", "\n\n", "\n- "])
        return self._filled(glue.join(parts))

    def _part(self, template: str) -> str:
        """A document or a few lines of it, now and then with a sentence of another kind before or after."""
        rng = self._rng
        lines = template.split("\n")
        if len(lines) > 2 and rng.random() < 0.4:
            start = rng.randrange(len(lines) - 1)
            template = "\n".join(lines[start : start + rng.randint(1, 6)]).strip("\n") or template
        if rng.random() < 0.15:
            other = rng.choice(rng.choice([SENTENCES, NEGATIVES]))
            template = rng.choice([f"{other}\n\n{template}", f"{template}\n{other}"])
        return template

    def _filled(self, template: str) -> tuple[str, list[Span]]:
        template = CHOICE.sub(lambda found: self._rng.choice(found[1].split("|")), template)
        cast = Cast(self._names)
        text, spans, at = "", [], 0
        for slot in SLOT.finditer(template):
            text += template[at : slot.start()]
            at = slot.end()
            letter, number, word = slot.groups()
            if word:
                text += FILLERS[word](self._rng) if word in FILLERS else slot[0]
            elif letter in TYPES:
                lead, value, tail = cast.value(letter, number)
                # a title that the template wrote already
                if lead and re.search(
                    r"((Mr|Mrs|Ms|Dr|Professor|Coach|Judge|Sergeant|Father|Sister|Herr|Frau|name|family|last|\w')[.\": =]*|[;,'\"])$",
                    text[-14:],
                ):
                    lead = ""
                text += lead
                spans.append((len(text), len(text) + len(value), TYPES[letter]))
                text += value + tail
            else:
                text += slot[0]
        return text + template[at:], spans

    def renamed(self, text: str, spans: list[Span], share: float = 0.7) -> tuple[str, list[Span]]:
        """The text with other names in the places of its persons, places and organisations."""
        out, new, at = "", [], 0
        for start, end, kind in sorted(spans):
            if start < at:
                continue
            value = text[start:end]
            out += text[at:start]
            at = end
            if self._rng.random() < share:
                value = self._names.like(value, kind)
            new.append((len(out), len(out) + len(value), kind))
            out += value
        return out + text[at:], new


class Cast:
    """The persons, places and organisations of one document: what a slot with a figure stands for stays the same."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known: dict[tuple[str, str], tuple[str, str, str]] = {}

    def value(self, letter: str, number: str) -> tuple[str, str, str]:
        """A lead outside of the span, the value, and what follows it."""
        if not number:
            return self._names.value(letter)
        key = letter, number
        if key not in self._known:
            if letter in "PFSIRN":
                forms = self._names.forms()
            elif letter in "OB":
                whole, short = self._names.organisation_and_short()
                forms = {"O": ("", whole, ""), "B": ("", short, "")}
            else:
                forms = {letter: self._names.value(letter)}
            for each, form in forms.items():
                self._known.setdefault((each, number), form)
        return self._known[key]
